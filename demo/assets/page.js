// Choosing a word or a frame: mark it, show its frame (with where in it the model looked), seek the player there.
// One listener for the whole page; no page content is ever run as code.
(() => {
  const seek = (player, seconds) => {
    const video = document.querySelector(`#${CSS.escape(player)} video`);
    if (!video) return;
    video.pause();
    video.currentTime = seconds;
  };

  // The places (row by row) of one frame as a grid laid over its picture, brightest where it looked most.
  const overlay = (holder, places, side, top) => {
    holder.querySelector(".cap-places")?.remove();
    if (!side || !places) return;
    const grid = document.createElement("span");
    grid.className = "cap-places";
    grid.style.setProperty("--side", side);
    for (const share of places) {
      const cell = document.createElement("span");
      cell.style.setProperty("--heat", top ? (share / top).toFixed(3) : 0);
      grid.append(cell);
    }
    holder.append(grid);
  };

  const choose = (button) => {
    const words = button.closest(".cap-words");
    if (!words) return;
    const { frame, seek: seconds, say } = button.dataset;
    const isWord = button.classList.contains("cap-word");
    const places = isWord ? JSON.parse(button.dataset.places) : [];
    const side = Number(words.dataset.grid);
    const top = Math.max(0, ...places.flat());
    words.querySelectorAll(".cap-word").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    words.querySelectorAll("tr[data-row]").forEach((row) => row.classList.toggle("cap-chosen", row.contains(button)));
    words.querySelectorAll(".cap-frame").forEach((b) => {
      b.classList.toggle("cap-marked", b.dataset.frame === frame);
      if (b.dataset.frame === frame) b.setAttribute("aria-current", "true");
      else b.removeAttribute("aria-current");
      overlay(b.querySelector(".cap-thumb"), places[Number(b.dataset.frame)], side, top);
    });
    const figure = words.querySelector(".cap-moment");
    const source = words.querySelector(`.cap-frame[data-frame="${Number(frame)}"] img`);
    figure.hidden = false;
    figure.querySelector("img").src = source.src;
    overlay(figure.querySelector(".cap-stage"), places[Number(frame)], side, top);
    figure.querySelector("figcaption").textContent = say;
    seek(words.dataset.player, Number(seconds));
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".cap-word, .cap-frame");
    if (button) return choose(button);
    const curve = event.target.closest?.(".cap-curve");
    if (curve) {
      const { left, width } = curve.getBoundingClientRect();
      const { first, last } = curve.dataset;
      const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
      return seek(curve.closest("[data-player]").dataset.player, Number(first) + share * (last - first));
    }
    const jump = event.target.closest?.(".cap-jump");
    if (!jump) return;
    const list = jump.closest("[data-player]");
    list.querySelectorAll(".cap-jump").forEach((b) => b.toggleAttribute("aria-current", false));
    jump.setAttribute("aria-current", "true");
    seek(list.dataset.player, Number(jump.dataset.seek));
  });

  // The captions of a timeline as subtitles of its player, as they come: the cues of the VTT that can be downloaded.
  const subtitles = (player, list) => {
    const video = document.querySelector(`#${CSS.escape(player)} video`);
    if (!video) return;
    video.captionerTrack ??= video.addTextTrack("subtitles", "captioner", "en");
    const track = video.captionerTrack;
    const segments = [...document.querySelectorAll(`#${CSS.escape(list)} .cap-jump`)];
    track.mode = "showing"; // cues of a disabled track cannot be read
    const same = (cue, data) => data && cue.startTime === Number(data.seek) && cue.text === data.text;
    [...track.cues].forEach((cue, i) => same(cue, segments[i]?.dataset) || track.removeCue(cue));
    for (const { dataset: data } of segments.slice(track.cues.length)) {
      track.addCue(new VTTCue(Number(data.seek), Number(data.end) - 0.001, data.text));
    }
  };

  window.captioner = { subtitles };
})();

// What the page does in the browser: takes files, plays them, seeks to the moment of a word, notes the results of this
// visit, and can be used by keyboard and screen reader. Listeners for the whole page; no page content is ever run.
(() => {
  const root = location.pathname.replace(/\/?$/, "/") + "gradio_api/";
  const address = (path) => `${root}file=${path.split("/").map(encodeURIComponent).join("/")}`;
  const videoOf = (player) => document.querySelector(`#${CSS.escape(player)} video`);

  // The events of our own components: `wire` keeps what tells the server of them.
  const triggers = new WeakMap();
  const wire = (element, trigger) => triggers.set(element, trigger);
  const tell = (node, event, data) => {
    for (let at = node; at; at = at.parentElement) if (triggers.has(at)) return triggers.get(at)(event, data);
  };

  // Screen readers are told what came: a region that stays, and whose text changes.
  const live = document.createElement("div");
  live.className = "cap-hidden";
  live.setAttribute("role", "status");
  const say = (text) => {
    if (live.textContent !== text) live.textContent = text;
  };

  const seek = (player, seconds) => {
    const video = videoOf(player);
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
    const { frame, seek: seconds, say: told } = button.dataset;
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
    figure.querySelector("figcaption").textContent = told;
    say(told);
    seek(words.dataset.player, Number(seconds));
  };

  // A file goes to the server with its progress beside the player; a second one takes the place of the first.
  const uploads = new WeakMap();
  const upload = (drop, file) => {
    const said = drop.querySelector(".cap-uploading");
    const show = (text) => {
      said.hidden = !text;
      said.textContent = text;
    };
    uploads.get(drop)?.abort();
    if (file.size > Number(drop.dataset.most)) return show(drop.dataset.large);
    const request = new XMLHttpRequest();
    uploads.set(drop, request);
    const progress = (share) =>
      show(drop.dataset.uploading.replace("{name}", file.name).replace("{share}", Math.round(100 * share)));
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => show(drop.dataset.broken);
    request.onload = () => {
      if (request.status === 413) return show(drop.dataset.large);
      if (request.status !== 200) return show(drop.dataset.broken);
      show("");
      tell(drop, "opened", { path: JSON.parse(request.responseText)[0] });
    };
    progress(0);
    const form = new FormData();
    form.append("files", file);
    request.open("POST", `${root}upload`);
    request.send(form);
  };

  document.addEventListener("change", (event) => {
    const drop = event.target.closest?.(".cap-drop");
    if (!drop || !event.target.files?.length) return;
    upload(drop, event.target.files[0]);
    event.target.value = ""; // the same file may be chosen again
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      const drop = event.target.closest?.(".cap-player")?.querySelector(".cap-drop");
      if (!drop) return;
      event.preventDefault();
      drop.classList.toggle("cap-over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) upload(drop, event.dataTransfer.files[0]);
    });
  }

  // A browser that cannot play a file: the server makes a preview. Media errors do not bubble, but can be captured.
  document.addEventListener("error", (event) => {
    const video = event.target;
    if (video.tagName !== "VIDEO" || !video.error || "preview" in video.dataset) return;
    tell(video, "unplayable", { at: video.dataset.at ?? null });
  }, true);

  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch { // a page that came over plain http
      const text = document.createElement("textarea");
      text.value = button.dataset.copy;
      button.after(text);
      text.select();
      document.execCommand("copy");
      text.remove();
      button.focus();
    }
    const { textContent } = button;
    button.textContent = button.dataset.done;
    say(button.dataset.done);
    setTimeout(() => (button.textContent = textContent), 2000);
  };

  // A line to write a better sentence in, under the one that it is to replace.
  const correct = (button) => {
    const { index, said, label, save, discard } = button.dataset;
    const place = button.parentElement;
    if (place.querySelector(".cap-edit")) return;
    const form = document.createElement("form");
    form.className = "cap-edit";
    const line = document.createElement("input");
    line.maxLength = 300;
    line.setAttribute("aria-label", label);
    line.value = said;
    const make = (type, text) => Object.assign(document.createElement("button"), { type, textContent: text });
    const close = () => {
      form.remove();
      button.focus();
    };
    const no = make("button", discard);
    no.addEventListener("click", close);
    form.append(line, make("submit", save), no);
    form.addEventListener("keydown", (event) => event.key === "Escape" && close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      tell(button, "corrected", { index: Number(index), text: line.value });
    });
    place.append(form);
    line.select();
  };

  const along = (curve, share) => {
    const { ariaValueMin: first, ariaValueMax: last } = curve;
    const seconds = Number(first) + Math.min(1, Math.max(0, share)) * (last - first);
    curve.ariaValueNow = seconds.toFixed(3);
    curve.ariaValueText = `${seconds.toFixed(1)} s`;
    seek(curve.closest("[data-player]").dataset.player, seconds);
  };

  const jump = (button) => {
    const list = button.closest("[data-player]");
    list.querySelectorAll(".cap-jump").forEach((b) => b.removeAttribute("aria-current"));
    button.setAttribute("aria-current", "true");
    seek(list.dataset.player, Number(button.dataset.seek));
  };

  const doings = {
    ".cap-word, .cap-frame": choose,
    ".cap-jump": jump,
    ".cap-scene": (button) => seek(button.closest("[data-cues]").dataset.cues, Number(button.dataset.seek)),
    ".cap-sample": (button) => {
      const drop = button.closest(".cap-player").querySelector(".cap-drop");
      tell(drop, "opened", { sample: Number(button.dataset.sample) });
    },
    ".cap-hit": (button) => {
      button.closest("ul").querySelectorAll(".cap-hit").forEach((b) => b.removeAttribute("aria-current"));
      button.setAttribute("aria-current", "true");
      tell(button, "chosen", { index: Number(button.dataset.index) });
    },
    ".cap-copy": copy,
    ".cap-correct": correct,
    ".cap-burn": (button) => tell(button, "burn", {}),
    ".cap-curve": (curve, event) => {
      const { left, width } = curve.getBoundingClientRect();
      along(curve, (event.clientX - left) / width);
    },
  };
  document.addEventListener("click", (event) => {
    for (const [selector, act] of Object.entries(doings)) {
      const found = event.target.closest?.(selector);
      if (found) return act(found, event);
    }
  });

  // One stop of the Tab key for what belongs together: arrows, Home and End go from one to the next.
  const step = (event, items, at) => {
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined || !items.length) return null;
    event.preventDefault();
    return items.at(to % items.length);
  };
  const rove = (items, item) => items.forEach((each) => (each.tabIndex = each === item ? 0 : -1));

  document.addEventListener("keydown", (event) => {
    const curve = event.target.closest?.(".cap-curve");
    if (curve) {
      const { ariaValueMin: first, ariaValueMax: last, ariaValueNow: now } = curve;
      const share = (now - first) / (last - first);
      const to = { ArrowRight: share + 0.02, ArrowUp: share + 0.02, ArrowLeft: share - 0.02, ArrowDown: share - 0.02 };
      const there = { ...to, Home: 0, End: 1 }[event.key];
      if (there === undefined) return;
      event.preventDefault();
      return along(curve, there);
    }
    const group = event.target.closest?.("[data-rove], [role=tablist]");
    if (!group) return;
    const items = [...group.querySelectorAll(group.dataset.rove ?? "[role=tab]")];
    const item = step(event, items, items.indexOf(event.target.closest(group.dataset.rove ?? "[role=tab]")));
    if (!item) return;
    rove(items, item);
    item.focus();
    if (item.getAttribute("role") === "tab") item.click();
  });

  // The captions as subtitles of the player: the cues of the VTT that can be downloaded.
  const subtitles = (list) => {
    const video = videoOf(list.dataset.cues);
    if (!video) return;
    video.captionerTrack ??= video.addTextTrack("subtitles", "captioner", "en");
    const track = video.captionerTrack;
    const segments = [...list.querySelectorAll("[data-text]")];
    track.mode = "showing"; // cues of a disabled track cannot be read
    const same = (cue, data) => data && cue.startTime === Number(data.seek) && cue.text === data.text;
    [...track.cues].forEach((cue, i) => same(cue, segments[i]?.dataset) || track.removeCue(cue));
    for (const { dataset: data } of segments.slice(track.cues.length)) {
      track.addCue(new VTTCue(Number(data.seek), Math.max(Number(data.seek), Number(data.end) - 0.001), data.text));
    }
  };

  // The results of this visit: each has an address, and a reload or "back" shows it again.
  const visit = () => JSON.parse(sessionStorage.getItem("captioner") ?? "[]");
  const note = ({ result, title }) => {
    const known = visit().filter((each) => each.result !== result);
    sessionStorage.setItem("captioner", JSON.stringify([{ result, title }, ...known].slice(0, 50)));
    if (new URLSearchParams(location.search).get("result") !== result) {
      history.pushState({}, "", `?result=${encodeURIComponent(result)}`);
    }
  };
  const list = () => {
    const box = document.querySelector(".cap-visit");
    const known = visit();
    const shown = JSON.stringify(known);
    if (!box || !known.length || box.dataset.shown === shown) return;
    box.hidden = false;
    box.dataset.shown = shown;
    box.querySelector("ul").replaceChildren(...known.map(({ result, title }) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `?result=${encodeURIComponent(result)}`;
      link.textContent = title;
      item.append(link);
      return item;
    }));
  };
  addEventListener("popstate", () => location.reload());

  // On a narrow page a new result is brought into sight.
  const bring = (node) => {
    const { top } = node.getBoundingClientRect();
    if (top > innerHeight * 0.75 || top < 0) node.scrollIntoView({ block: "center", behavior: "smooth" });
  };

  const playFrom = (video) => {
    video.currentTime = Number(video.dataset.at);
    video.play().catch(() => {}); // a browser that plays nothing by itself shows the moment
  };

  const refresh = () => {
    document.querySelectorAll("[data-file]:not([data-ready])").forEach((node) => {
      node.dataset.ready = "";
      node[node.tagName === "A" ? "href" : "src"] = address(node.dataset.file);
      if ("at" in node.dataset) node.addEventListener("loadedmetadata", () => playFrom(node), { once: true });
    });
    // Gradio's names for what already reads well, or for what may not have one.
    document.querySelectorAll(".upload-container[aria-label], .empty[aria-label]").forEach((node) =>
      node.removeAttribute("aria-label"));
    document.querySelectorAll("[data-cues]").forEach(subtitles);
    document.querySelectorAll("[data-rove], [role=tablist]").forEach((group) => {
      const items = [...group.querySelectorAll(group.dataset.rove ?? "[role=tab]")];
      const chosen = items.find((item) => item.getAttribute("aria-selected") === "true");
      if (chosen) rove(items, chosen);
      else if (items.filter((item) => item.tabIndex === 0).length !== 1) rove(items, items[0]);
    });
    document.querySelectorAll("[data-result]:not([data-ready])").forEach((node) => {
      node.dataset.ready = "";
      note(node.dataset);
    });
    document.querySelectorAll("[data-aloud]:not([data-heard])").forEach((node) => {
      node.dataset.heard = "";
      if (!ready) return;
      say(node.dataset.aloud);
      if (node.offsetParent) bring(node);
    });
    list();
  };
  let ready = false;
  let due = 0;
  const later = () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      refresh();
    });
  };
  const start = () => {
    document.body.append(live);
    new MutationObserver(later).observe(document.body, { childList: true, subtree: true });
    later();
    setTimeout(() => (ready = true), 1500); // what stands there from the start is not read aloud
  };
  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);

  window.captioner = { wire };
})();

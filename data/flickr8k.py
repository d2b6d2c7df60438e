"""Flickr8k (Hodosh et al., 2013): photos with five captions each; a photo is a one-frame clip."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path, PurePosixPath

from captioner.errors import DataError
from captioner.safe.whole import write_whole
from data.join import Join, assign, join
from data.sources import PHOTO_SUFFIXES, first_existing, media_files, numbered_lines, progress, require_folder, squeeze

CAPTIONS = "Flickr8k.token.txt"
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
PHOTOS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images", "images.tar")
"""Where the photos may be; the first is the published folder, spelt as published."""
LARGEST_PHOTO = 64 * 2**20
"""Bytes; a member of a tar that claims more is not a photo of this data set."""


def flickr8k(source: str | Path, *, out: Path, photos: str | Path | None = None, overwrite: bool = False) -> Join:
    """Join a Flickr8k folder: ``Flickr8k.token.txt``, the three image lists, and the photos.

    Photos are a folder or a tar (of ``<id>.jpg`` or another format's suffix); those of a tar that are wanted are
    extracted to ``out/photos`` once. Ids are file names without ``.jpg``; the published ``dev`` is ``val``.
    """
    folder = require_folder(source)
    captions, splits = read_captions(folder), read_splits(folder)
    place = Path(photos).resolve() if photos else first_existing(folder, PHOTOS)
    if place is None or not place.exists():
        wanted = f"{place} does not exist" if place else f"{folder} has none of {', '.join(PHOTOS)}"
        raise DataError(f"there are no photos: {wanted}; name the folder or tar with --photos")
    if place.is_dir():
        files = media_files(place, suffixes=PHOTO_SUFFIXES)
    else:
        files = extract_photos(place, out.resolve() / "photos", wanted=set(captions) & set(splits), overwrite=overwrite)
    return join(captions, splits, files)


def read_captions(folder: Path) -> dict[str, list[str]]:
    """The captions by id."""
    path = folder / CAPTIONS
    captions: dict[str, list[str]] = {}
    for number, line in numbered_lines(path):
        match = re.fullmatch(r"(.+)#\d+\t(.*\S.*)", line)
        if not match:
            raise DataError(f"{path}, line {number}: expected '<id>.jpg#k<TAB>caption', not {line!r}")
        captions.setdefault(match[1].removesuffix(".jpg"), []).append(squeeze(match[2]))
    return captions


def read_splits(folder: Path) -> dict[str, str]:
    """The split of every listed id."""
    splits: dict[str, str] = {}
    for split, name in LISTS.items():
        for _, line in numbered_lines(folder / name):
            assign(splits, line.strip().removesuffix(".jpg"), split)
    return splits


def extract_photos(archive: Path, folder: Path, *, wanted: set[str], overwrite: bool = False) -> dict[str, Path]:
    """The photos of a tar by stem; those in ``wanted`` are extracted into ``folder``, the others only named.

    Only plain files are taken and only by their base name, so that no member can leave ``folder``. A photo that
    is there already, whole, is left alone; each new one is renamed into place.
    """
    files: dict[str, Path] = {}
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            folder.mkdir(parents=True, exist_ok=True)
            for member in progress(members, what=f"photos of {archive.name}"):
                name = PurePosixPath(member.name)
                if not member.isreg() or name.suffix.lower() not in PHOTO_SUFFIXES or name.name.startswith("."):
                    continue
                if name.stem in files:
                    raise DataError(f"{archive} holds two photos called {name.stem!r}")
                files[name.stem] = folder / name.name
                if name.stem in wanted:
                    _extract(tar, member, files[name.stem], overwrite=overwrite)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive} is neither a folder of photos nor a whole tar: {error}") from error
    if not files:
        raise DataError(f"{archive} holds no photos ({' '.join(sorted(PHOTO_SUFFIXES))})")
    return files


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, *, overwrite: bool) -> None:
    if path.exists() and path.stat().st_size == member.size:
        return
    content = tar.extractfile(member)
    if content is None or member.size > LARGEST_PHOTO:
        raise DataError(f"the photo {member.name!r} is {member.size:,} bytes; photos above 64 MiB are refused")
    write_whole(path, content.read(), overwrite=overwrite)

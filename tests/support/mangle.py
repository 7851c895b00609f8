"""Bytes and texts that are nearly right: what a parser has to bear from a network."""

from __future__ import annotations

from hypothesis import strategies as st


def mangled(*samples: bytes, longest: int = 300) -> st.SearchStrategy[bytes]:
    """Anything at all, or a sample with a few pieces cut out, put in, turned over or said twice."""
    edits = st.lists(
        st.tuples(st.sampled_from(["cut", "put", "flip", "twice", "end"]), st.integers(0, 4096), st.binary(max_size=9)),
        max_size=4,
    )
    near = st.builds(_edited, st.sampled_from(samples), edits) if samples else st.nothing()
    return st.one_of(near, near, st.binary(max_size=longest)) if samples else st.binary(max_size=longest)


def mangled_text(*samples: str, longest: int = 200) -> st.SearchStrategy[str]:
    """The same for texts."""
    near = mangled(*(sample.encode() for sample in samples)).map(lambda data: data.decode(errors="replace"))
    return st.one_of(near, near, st.text(max_size=longest))


def _edited(sample: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    data = bytearray(sample)
    for what, place, piece in edits:
        at = place % (len(data) + 1)
        if what == "cut":
            del data[at : at + 1 + len(piece)]
        elif what == "put":
            data[at:at] = piece
        elif what == "flip":
            data[at : at + len(piece)] = piece[: len(data[at : at + len(piece)])]
        elif what == "twice":
            data[at:at] = data[at : at + 1 + 4 * len(piece)]
        else:
            del data[at:]
    return bytes(data)

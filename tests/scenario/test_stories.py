"""Every story in this folder holds; and a story that does not hold says where."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario.runner import Failed, play

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_story_holds(story: Path) -> None:
    play(story)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("agent starts\nexpect peers a\n", r"broken.txt:2: expect peers a\n.*peers: \[\], expected \['a'\]"),
        ("agent dances\n", "broken.txt:1"),
        ("\n\nhello\n", "broken.txt:3.*\n.*no such command"),
        ("registry stores a\nregistry document\nagent starts\nagent fetches\nexpect ops none\n", "broken.txt:5"),
    ],
)
def test_a_story_that_does_not_hold_names_its_line(tmp_path: Path, script: str, says: str) -> None:
    story = tmp_path / "broken.txt"
    story.write_text(script)
    with pytest.raises(Failed, match=says):
        play(story)

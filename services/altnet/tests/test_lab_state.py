"""What a lab remembers, and that two commands do not fight over it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from altnet.common.errors import Conflict, Unavailable
from altnet.host.lab.faults import Cut, Impairment, Shape
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.state import LabFiles, LabState, Tunnel, Wanted
from altnet.host.lab.topology import Spec


@pytest.fixture
def files(tmp_path: Path) -> LabFiles:
    return LabFiles(LabSettings(run_dir=str(tmp_path), lock_timeout=0.1, poll=0.01))


def test_a_state_reads_back_as_it_was_written(files: LabFiles) -> None:
    state = LabState(
        spec=Spec(relays=7),
        absent=("relay2",),
        cuts=(Cut(sources=("relay1",), targets=("relay3",)),),
        impairments=(Impairment(source="relay1", target="relay2", loss=0.3, delay=0.02),),
        shape=Shape.RING,
        wanted=(Wanted(host="relay1", name="agent", argv=("x", "y"), env={"A": "b"}),),
        tunnels=(Tunnel(host="client1", config="client1/alt0.conf", client="cli_1"),),
    )

    files.write(state)

    assert files.read() == state
    assert files.state_file.stat().st_mode & 0o777 == 0o600


def test_no_lab_is_not_an_error(files: LabFiles) -> None:
    assert files.read() is None


def test_a_state_that_cannot_be_read_says_how_to_get_rid_of_it(files: LabFiles) -> None:
    files.root.mkdir()
    files.state_file.write_text('{"spec": 7}')

    with pytest.raises(Conflict, match="altnet lab down"):
        files.read()


def test_a_second_command_waits_for_the_first_and_then_says_who_holds_the_lab(files: LabFiles) -> None:
    with files.locked(), pytest.raises(Unavailable, match=r"process \d+") as busy, files.locked():
        pass

    assert busy.value.code == "lab_busy"


def test_a_second_command_goes_on_once_the_first_has_ended(files: LabFiles) -> None:
    waiting = LabFiles(LabSettings(run_dir=files.settings.run_dir, lock_timeout=10, poll=0.01))
    entered = threading.Event()

    def second() -> None:
        with waiting.locked():
            entered.set()

    with files.locked():
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.05)

    assert entered.wait(5)
    thread.join()

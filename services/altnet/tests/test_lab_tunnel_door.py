"""When a tunnel's control socket counts as open: somebody listens there."""

from __future__ import annotations

import socket
from pathlib import Path

from altnet.host.lab.tunnel import answers


def test_a_control_socket_is_open_once_somebody_listens_and_not_before(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)  # longer than an address of a socket may be
    door = folder / "alt0.sock"
    assert not answers(door), "there is no directory yet"
    folder.mkdir()
    assert not answers(door), "there is no socket yet"
    made = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(made))
        made.rename(door)
        assert not answers(door), "nobody listens yet"
        server.listen()
        assert answers(door)
    assert not answers(door), "whoever listened has died and left it behind"

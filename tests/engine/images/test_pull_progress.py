from __future__ import annotations

from shim.engine.images.pull_progress import PullProgress


def test_the_progress_of_a_pull_is_one_line() -> None:
    seen = PullProgress()
    mb = 1_000_000
    begun = {"current": mb, "total": 4 * mb}
    said = [
        seen.update(piece)
        for piece in (
            {"status": "Pulling from library/nginx", "id": "alpine"},
            {"status": "Already exists", "id": "a"},
            {"status": "Pulling fs layer", "id": "b"},
            {
                "status": "Downloading",
                "id": "b",
                "progressDetail": begun,
            },
            {"status": "Download complete", "id": "b", "progressDetail": {}},
            {"status": "Extracting", "id": "b", "progressDetail": {"current": 1, "total": 4 * mb}},
            {"status": "Pull complete", "id": "b"},
            {"status": "Digest: sha256:1"},
        )
    ]
    assert said == [
        "0 of 0 layers",
        "1 of 1 layers",
        "1 of 2 layers",
        "1 of 2 layers, 1.0 of 4.0 MB",
        "1 of 2 layers, 4.0 of 4.0 MB",
        "1 of 2 layers, 4.0 of 4.0 MB",
        "2 of 2 layers, 4.0 of 4.0 MB",
        "2 of 2 layers, 4.0 of 4.0 MB",
    ]

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from shim.engine.mapping import reference_table
from shim.engine.mapping.options import OPTIONS
from shim.protos.mesos_pb2 import CommandInfo, ContainerInfo

README = Path(reference_table.__file__).parents[1] / "README.md"


def test_the_readme_holds_the_generated_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert reference_table.insert(text) == text


def test_check_fails_when_the_readme_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{reference_table.BEGIN}\nold\n{reference_table.END}\nafter\n")
    assert reference_table.main([str(path), "--check"]) == 1
    assert "differs from the code" in capsys.readouterr().err
    assert reference_table.main([str(path)]) == 0
    assert reference_table.main([str(path), "--check"]) == 0
    assert path.read_text().startswith("before\n")
    assert path.read_text().endswith("\nafter\n")
    with pytest.raises(ValueError, match="no markers"):
        reference_table.insert("nothing")


def test_every_option_is_in_the_table() -> None:
    text = reference_table.render()
    assert all(f"| `{option.key}` |" in text for option in OPTIONS)


def leaves(descriptor: Descriptor, path: str) -> Iterator[str]:
    """Each field of a message by its dotted path, down to where a row must have spoken."""
    for field in descriptor.fields:
        name = f"{path}.{field.name}"
        yield name
        if field.message_type is not None and field.message_type.full_name in DEEPER:
            yield from leaves(field.message_type, name)


DEEPER = {
    f"mesos.{name}"
    for name in (
        "ContainerInfo.DockerInfo", "ContainerInfo.MesosInfo", "Image", "Volume", "Volume.Source",
        "NetworkInfo", "LinuxInfo", "RLimitInfo", "TTYInfo", "Environment",
    )
}  # fmt: skip
GROUPS = {
    "container.docker", "container.mesos", "container.mesos.image", "container.mesos.image.type",
    "container.mesos.image.docker", "container.volumes", "container.volumes.source",
    "container.volumes.source.type", "container.network_infos", "container.linux_info",
    "container.rlimit_info", "container.tty_info.window_size", "command.environment",
}  # fmt: skip
"""Fields that only hold others, which have rows of their own."""


def covered(name: str) -> bool:
    return (
        name in GROUPS
        or any(
            name in row.name or row.name.startswith(f"{name}.") for row in reference_table.FIELDS
        )
        or ("parameters" in name)
        or name.startswith("container.volumes.image.")
    )


@pytest.mark.parametrize(
    "name",
    [*leaves(ContainerInfo.DESCRIPTOR, "container"), *leaves(CommandInfo.DESCRIPTOR, "command")],
)
def test_every_field_has_a_row(name: str) -> None:
    assert covered(name.replace("network_infos.name", "network_infos[0].name"))

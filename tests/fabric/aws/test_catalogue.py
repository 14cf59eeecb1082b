"""docs/aws-actions.md is what the code serves."""

from pathlib import Path

from tieline.fabric.aws import catalogue
from tieline.fabric.aws.protocol.model import services

PAGE = Path(__file__).resolve().parents[3] / "docs/aws-actions.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text().splitlines() == list(catalogue.page()), (
        "run: python -m tieline.fabric.aws.catalogue > docs/aws-actions.md"
    )


def test_what_is_noted_is_served_and_what_is_absent_is_not() -> None:
    names = {name for _, name in catalogue.served()}
    assert catalogue.NOTES.keys() <= names
    assert not names & {name.strip() for line in catalogue.ABSENT for name in line.split(",")}


def test_no_operation_accepts_what_the_model_does_not_know() -> None:
    strange = {
        f"{name} {parameter}"
        for (service, name), operation in catalogue.served().items()
        for parameter in operation.accepts - known(service, name)
    }
    assert strange == set()


def known(service: str, name: str) -> frozenset[str]:
    return services()[service].operation(name).parameters | {"DryRun"}  # type: ignore[index]

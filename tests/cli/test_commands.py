"""The command line from outside: exit status, one-line errors, files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import constrained_actmax as cax
from constrained_actmax.cli import main

DOCS = Path(__file__).parents[2] / "docs"
QUICK = ["--bounds", "0", "1", "--seed", "0", "--budget", "60"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit status, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def test_maximize_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    status, printed, complaint = run(
        capsys, "maximize", "example", "--class", "Sneaker", "--l1", "60", *QUICK,
        "--out", str(out),
    )  # fmt: skip
    assert (status, complaint) == (0, "")
    assert printed.startswith("Feasible")
    for name in ("result.json", "arrays.npz", "result.png", "history.png", "input.png"):
        assert (out / name).is_file()
        assert name in printed
    assert "0..255 stands for 0..1" in printed
    result = cax.load_result(out)
    assert result.seed == 0
    assert np.abs(result.x).sum() <= 60 * (1 + 1e-12)
    picture = np.asarray(Image.open(out / "input.png"), dtype=float) / 255
    assert np.max(np.abs(picture - result.x)) <= 0.5 / 255 + 1e-12


def test_a_label_is_a_number_is_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_name = run(capsys, "maximize", "example", "--class", "Bag", *QUICK, "--out",
                  str(tmp_path / "a"))  # fmt: skip
    by_number = run(capsys, "maximize", "example", "--class", "8", *QUICK, "--out",
                    str(tmp_path / "b"))  # fmt: skip
    assert by_name[0] == by_number[0] == 0
    a, b = cax.load_result(tmp_path / "a"), cax.load_result(tmp_path / "b")
    assert a.value == pytest.approx(b.value, rel=1e-2)  # XLA or not is measured for each


def test_near_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.uint8(255 * cax.examples.reference("Shirt"))).save(tmp_path / "shirt.png")
    status, printed, _ = run(
        capsys, "maximize", "example", "--class", "Coat", "--score", "margin", "--l2", "1.5",
        "--near", str(tmp_path / "shirt.png"), *QUICK, "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert status == 0
    assert "Margin" in printed
    moved = cax.load_result(tmp_path / "run").x - np.floor(255 * cax.examples.reference(6)) / 255
    assert np.linalg.norm(moved) <= 1.5 * (1 + 1e-9)


def test_a_written_picture_is_read_back_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["maximize", "example", "--class", "Coat", "--score", "margin", "--linf", "0.05"]
    image = tmp_path / "dark.png"  # whose brightest pixel and the ball leave no room up to 1
    Image.fromarray(np.uint8(120 * cax.examples.reference("Shirt"))).save(image)
    status, printed, _ = run(
        capsys, *asked, "--near", str(image), *QUICK, "--out", str(tmp_path / "run")
    )
    assert status == 0
    assert "0..255 stands for 0..1;" in printed
    written = np.asarray(Image.open(tmp_path / "run" / "input.png"), dtype=float) / 255
    found = cax.load_result(tmp_path / "run").x
    np.testing.assert_allclose(written, found, atol=0.5 / 255 + 1e-9)


def test_minimize_goes_the_other_way(capsys: pytest.CaptureFixture[str]) -> None:
    values = []
    for command in ("maximize", "minimize"):
        status, printed, _ = run(capsys, command, "example", "--class", "0", *QUICK)
        assert status == 0
        values.append(float(printed.splitlines()[0].split("=")[-1]))
    assert values[0] > 0 > values[1]


def test_a_neuron(capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(capsys, "maximize", "example", "--neuron", "hidden:5", *QUICK)
    assert status == 0
    assert "Neuron" in printed


def test_check_prints_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(
        capsys, "check", "example", "--class", "7", "--bounds", "0", "1", "--l1", "60"
    )
    assert status == 0
    assert "784 variables" in printed
    assert "auto chooses" in printed


def test_the_example_in_the_docs_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = DOCS / "reference" / "spec.toml"
    status, printed, complaint = run(
        capsys, "maximize", str(spec), "--budget", "200", "--out", str(tmp_path)
    )
    assert (status, complaint) == (0, "")
    result = cax.load_result(tmp_path)
    assert result.feasible
    assert np.linalg.norm(result.x - cax.examples.reference("Shirt")) <= 3 * (1 + 1e-9)
    assert result.x[0, 0] == result.x[-1, -1] == 0
    assert "Logit('Pullover')" in printed


def test_nothing_feasible_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.toml").write_text(
        """
        [model]
        path = "example"
        [objective]
        type = "Logit"
        target = 7
        [[constraints]]
        type = "L2Ball"
        radius = 0.01
        [[constraints]]
        output = { type = "Logit", target = 7 }
        lower = 1000
        """,
        encoding="utf-8",
    )
    status, printed, _ = run(
        capsys, "maximize", str(tmp_path / "run.toml"), "--budget", "60", "--seed", "0"
    )
    assert status == 1
    assert printed.startswith("NOT FEASIBLE")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage"),
        (["maximise"], "No such command 'maximise'"),
        (["maximize", "example"], "exactly one of --class"),
        (["maximize", "example", "--class", "1", "--neuron", "a:1"], "exactly one of --class"),
        (["maximize", "none.keras", "--class", "1"], "none.keras: no such model"),
        (["maximize", "none.toml"], "none.toml: cannot be read"),
        (["maximize", "none.toml", "--class", "1"], "--class: none.toml states the problem"),
        (["maximize", "example", "--class", "Sneakers"], "'Sneaker'"),
        (["maximize", "example", "--class", "10", "--bounds", "0", "1"], "10"),
        (["maximize", "example", "--class", "1"], "add a bounded"),
        (["maximize", "example", "--class", "1", "--bounds", "1", "0"], "lower must be <= upper"),
        (["maximize", "example", "--class", "1", "--l1", "nan"], "radius"),
        (["maximize", "example", "--class", "1", "--l2", "-1"], "radius"),
        (["maximize", "example", "--class", "1", "--bounds", "0"], "requires 2 arguments"),
        (["maximize", "example", "--class", "1", "--bounds", "0", "x"], "'x' is not a valid float"),
        (["maximize", "example", "--neuron", "hidden"], "expected LAYER:INDEX"),
        (["maximize", "example", "--neuron", "hiden:1", "--bounds", "0", "1"], "'hidden'"),
        (["maximize", "example", "--neuron", "hidden:a"], "expected numbers"),
        (["maximize", "example", "--output", "1", "--score", "logit"], "goes with --class"),
        (["maximize", "example", *QUICK, "--class", "1", "--method", "spgg"], "'spg'"),
        (["maximize", "example", *QUICK, "--class", "1", "--starts", "0"], "starts"),
        (["maximize", "example", "--class", "1", "--near", "a.png", *QUICK], "a.png: no such file"),
        (["maximize", "example", "--class", "1", "--near", "Shirts", *QUICK], "'Shirt'"),
        (["maximize", "example", "--class", "1", "--l2", "1", "--near", __file__, *QUICK],
         "not a picture"),
        (["check", "example", "--class", "1", "--budget", "3"], "No such option"),
    ],
)  # fmt: skip
def test_errors_take_one_line_and_end_with_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    status, printed, complaint = run(capsys, *arguments)
    assert status == 2
    assert message in (complaint or printed)
    if arguments:
        assert printed == ""
        assert len(complaint.splitlines()) == 1
        assert complaint.startswith("constrained-actmax: ")


def test_another_size_needs_resize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (32, 32), 100).save(tmp_path / "large.png")
    command = ["maximize", "example", "--class", "1", "--linf", "0.1", *QUICK,
               "--near", str(tmp_path / "large.png")]  # fmt: skip
    status, _, complaint = run(capsys, *command)
    assert status == 2
    assert "32 x 32" in complaint
    assert "--resize" in complaint
    assert run(capsys, *command, "--resize")[0] == 0


def test_an_unexpected_error_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr("constrained_actmax.cli.commands.run_demo", broken)
    status, _, complaint = run(capsys, "demo")
    assert status == 3
    assert "unexpected ZeroDivisionError: oh no" in complaint
    assert len(complaint.splitlines()) == 1
    monkeypatch.setenv("CONSTRAINED_ACTMAX_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["demo"])


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, complaint = run(capsys, "demo", "--out", str(tmp_path))
    assert (status, complaint) == (0, "")
    sneaker, coat = cax.load_result(tmp_path / "sneaker"), cax.load_result(tmp_path / "coat")
    assert sneaker.feasible
    assert coat.feasible
    assert coat.success
    assert np.abs(sneaker.x).sum() <= 60 * (1 + 1e-12)
    probabilities = cax.examples.load_model().predict(np.stack([sneaker.x, coat.x]), verbose=0)
    assert list(probabilities.argmax(axis=1)) == [7, 4]
    change = float(np.linalg.norm(coat.x - cax.examples.reference("Shirt")))
    assert f"The smallest change found has Euclidean norm {change:.4f}." in printed
    assert (tmp_path / "demo.png").is_file()
    assert change < 0.3545  # the smallest ball by bisection has a radius of 0.354


@pytest.mark.slow
def test_the_installed_command_is_quiet_and_quick(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from constrained_actmax.cli import main; main()", "demo",
         "--out", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""


def test_certify_bounds_what_it_found_and_saves_the_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["example", "--class", "Coat", "--score", "margin", "--near", "Shirt", "--linf"]
    wide = [*asked, "0.1", "--bounds", "0", "1", "--seed", "0", "--seconds", "2"]
    status, printed, complaint = run(capsys, "certify", *wide, "--out", str(tmp_path))
    assert (status, complaint) == (1, "")
    assert "ot proven" in printed
    result = cax.load_result(tmp_path)
    assert result.certificate is not None
    assert result.value <= result.certificate.dual_bound
    asked = [*asked, "0.005"]
    status, printed, _ = run(capsys, "certify", *asked, *QUICK, "--out", str(tmp_path))
    assert status == 0
    assert "No allowed input exceeds" in printed
    assert "proven; mixed-integer program" in printed
    assert cax.load_result(tmp_path).nfev <= 12  # of 60: the rest is for the bound
    limits = [*QUICK, "--target", "100", "--out", str(tmp_path)]
    status, printed, _ = run(capsys, "certify", *asked, *limits)
    assert status == 0
    assert "Proven: no allowed input exceeds 100" in printed
    loaded = cax.load_result(tmp_path).certificate
    assert loaded is not None
    assert (loaded.target, loaded.verdict) == (100.0, "proven")
    assert str(loaded) in printed
    status, printed, _ = run(capsys, "certify", *asked, *QUICK, "--rtol", "10", "--minimize")
    assert status == 0
    assert "No allowed input goes below" in printed

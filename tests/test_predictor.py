"""The formula of every row: the same numbers in NumPy and PyTensor, and by hand."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr

from bayes_msc.model import Model
from bayes_msc.parameters import derived
from bayes_msc.predictor import RowParameters, draws_of, predict, row_parameters, with_axes
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

NORMAL = Prior.normal(0.0, 0.4, why="for a test")
NUMBERS = {
    "log_rate": 0.3,
    "log_rate_ratio": -0.5,
    "period_effect": 0.2,
    "carryover_fraction": 0.25,
    "baseline_level": 0.4,
    "serial_dependence": 0.35,
    "sqrt_overdispersion_control": 0.9,
    "sqrt_overdispersion_active": 0.6,
    "patient_sd": 0.7,
}


@pytest.fixture
def everything() -> Model:
    model = Model.load("crossover-negative-binomial").with_dispersion("per-arm")
    model = model.with_term("baseline-joint", NORMAL).with_term("serial", NORMAL)
    return model.with_carryover(0.3)


def test_linear_predictor_is_the_formula(crossover: Trial) -> None:
    model = Model.load("crossover-poisson")
    rows, seen = arrange(crossover, model), crossover.seen
    draws = {
        "log_rate": np.array([0.3, -1.0]),
        "log_rate_ratio": np.array([-0.5, 0.1]),
        "period_effect": np.array([0.2, 0.0]),
        "baseline_slope": np.array([0.4, 1.0]),
        "patient_sd": np.array([0.5, 2.0]),
    }
    at = row_parameters(model, rows, draws)
    per_patient = np.log1p(crossover.data.groupby("patient", sort=False)["baseline"].first())
    for d in range(2):
        by_hand = (
            np.log(seen["exposure"])
            + draws["log_rate"][d]
            + draws["log_rate_ratio"][d] * (seen["treatment"] == crossover.active)
            + draws["period_effect"][d] * (seen["period"] == 2)
            + draws["baseline_slope"][d] * (np.log1p(seen["baseline"]) - per_patient.mean())
        )
        np.testing.assert_allclose(rows.flat(at.eta)[d], by_hand)
        assert (at.loading[d] == draws["patient_sd"][d]).all()
    assert (at.overdispersion == 0).all()
    assert (at.zero_part == 0).all()
    same = row_parameters(model, crossover, draws)
    np.testing.assert_array_equal(same.eta, at.eta)


def test_numpy_and_pytensor_say_the_same(everything: Model, crossover: Trial) -> None:
    rows = arrange(crossover, everything)
    ours = row_parameters(everything, rows, {n: np.full(3, v) for n, v in NUMBERS.items()})
    table = pt.dtensor3("table")
    columns = {name: table[:, :, k] for k, name in enumerate(rows.names)}
    free = {name: pt.constant(value) for name, value in NUMBERS.items()}
    theirs = predict(columns, {**free, **derived(free)})
    outputs = [pt.as_tensor(value) + 0 * table[:, :, 0] for value in vars(theirs).values()]
    values = pytensor.function([table], outputs, mode="FAST_COMPILE")(rows.table)
    for mine, value in zip(vars(ours).values(), values, strict=True):
        assert mine.shape == (3, *rows.count.shape)
        np.testing.assert_allclose(mine[1], value, rtol=1e-12)


def test_one_scan_of_everything_by_hand(everything: Model, crossover: Trial) -> None:
    """The second scan of period 2 of a patient who had the active treatment first."""
    rows = arrange(crossover, everything)
    at = row_parameters(everything, rows, {n: np.array([v]) for n, v in NUMBERS.items()})
    first = crossover.seen[crossover.seen["patient"] == "S1"]
    assert list(first["treatment"]) == ["MSC", "MSC", "placebo", "placebo"]
    assert list(rows.count[0]) == [1, 0, 0, 2, 3]
    assert list(rows.follows[0]) == [0, 0, 1, 0, 1]
    plain = 0.3 + 0.2 - 0.5 * 0.25
    assert at.eta[0, 0, 4] == pytest.approx(plain + 0.35 * (np.log(2) - plain))
    assert at.loading[0, 0].tolist() == pytest.approx([0.7, 0.7, 0.7 * 0.65, 0.7, 0.7 * 0.65])
    # after an empty scan one half stands for the zero
    assert at.eta[0, 0, 2] == pytest.approx(-0.2 + 0.35 * (np.log(0.5) + 0.2))
    assert at.eta[0, 0, 0] == pytest.approx(0.3 + 0.4)
    assert at.overdispersion[0, 0].tolist() == pytest.approx([0.81, 0.36, 0.36, 0.81, 0.81])


def test_unseen_rows_have_parameters_too(crossover: Trial) -> None:
    data = crossover.data
    data.loc[6, "count"] = np.nan
    trial = Trial(data, **crossover.meta())
    model = Model.load("crossover-negative-binomial-serial")
    short, whole = arrange(trial, model), arrange(trial, model, unseen=True)
    assert whole.seen.sum() == short.seen.sum() == len(data) - 4
    assert len(whole.patient_index) == len(data)
    assert whole.seen[1, 2] == 0
    assert whole.follows[1].tolist() == [0, 1, 0, 0]
    draws = {n: np.array([0.4]) for n in ("log_rate", "log_rate_ratio", "period_effect")}
    draws |= {n: np.array([0.3]) for n in ("baseline_slope", "serial_dependence", "patient_sd")}
    seen = trial.data["count"].notna().to_numpy()
    few, all_ = (r.flat(row_parameters(model, r, draws).eta)[0] for r in (short, whole))
    np.testing.assert_allclose(all_[seen], few)
    assert np.isfinite(all_).all()


def test_zero_part() -> None:
    columns = {"seen": np.ones((1, 1)), "log_exposure": np.zeros((1, 1))}
    values = {"log_rate": 0.0, "log_rate_ratio": 0.0, "patient_sd": 1.0}
    assert predict(columns, values).zero_part == 0.0
    assert predict(columns, {**values, "zero_inflation": 0.2}).zero_part == 0.2
    hurdle = {**values, "sqrt_zero_overdispersion": 0.5}
    assert predict(columns, {**hurdle, **derived(hurdle)}).zero_part == 0.25


def test_axes() -> None:
    draws = {
        "a": np.arange(3.0),
        "patient_log_rate_ratio": np.zeros((3, 4)),
        "other": np.ones((3, 4)),
    }
    shaped = with_axes(draws)
    assert {name: value.shape for name, value in shaped.items()} == {
        "a": (3, 1, 1),
        "patient_log_rate_ratio": (3, 4, 1),
    }
    assert [*RowParameters(1, 2, 3, 4).__dict__] == [
        "eta",
        "loading",
        "overdispersion",
        "zero_part",
    ]


def test_draws_of_a_fit_keep_the_order_of_chains() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    posterior = xr.Dataset(
        {"x": (("chain", "draw"), values[:, :, 0]), "y": (("chain", "draw", "patient"), values)}
    )
    draws = draws_of(xr.DataTree.from_dict({"posterior": posterior}))
    np.testing.assert_array_equal(draws["x"], [0, 4, 8, 12, 16, 20])
    np.testing.assert_array_equal(draws["y"], values.reshape(6, 4))

"""SciPy's documented options that are no setting of a method here: taken, or what to write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.quoting import quoted

#: Options that make SciPy print.
PRINTING = ("disp", "iprint", "verbose")
#: What is written here in their place.
ELSEWHERE = {
    "eps": "differences are taken by FunctionOracle(function, shape, jac='2-point'), which chooses "
    "their steps by the sizes of the entries and their bounds; leave it out",
    "finite_diff_rel_step": "differences are taken by FunctionOracle(function, shape, "
    "jac='2-point'), which chooses their steps by the sizes of the entries and their bounds; leave "
    "it out, or give it to a NonlinearConstraint",
    "workers": "differences are taken one call after the other; leave it out, or solve several "
    "problems by sweep(problems, workers=...)",
    "feasibility_tol": "write feasibility_tolerance= of maximize, minimize or Problem, or the "
    "tolerance= of one constraint",
    "f_target": "write a callback that returns True below it",
    "scale": "problems are measured in units of their own already; leave it out",
    "sparse_jacobian": "Jacobians reach SciPy sparse; leave it out",
    "factorization_method": "SciPy's choice for sparse Jacobians is taken; leave it out",
    "hess": "the Hessian belongs to the function; write FunctionOracle(function, shape, hess=...)",
    "jac": "the gradient belongs to the function; write FunctionOracle(function, shape, jac=...)",
    "args": "arguments belong to the function; write FunctionOracle(function, shape, args=...)",
}


def own_options(options: Mapping[str, Any], known: Collection[str], method: str) -> dict[str, Any]:
    """Return the options that a method has, without SciPy's that ask for what happens in any case.

    Parameters
    ----------
    options : mapping
        As the user wrote them.
    known : collection of str
        The method's own settings, which are left as they are.
    method : str
        Its name, for the error message.

    Raises
    ------
    SpecificationError
        If one of SciPy's has another place here, or a name is not known; the message says so.
    """
    if not isinstance(options, Mapping):
        raise SpecificationError(
            f"options: expected a mapping of names to values, got {quoted(options)}."
        )
    own = dict(options)
    for name, value in options.items():
        if name in known:
            continue
        if name in PRINTING:
            if _prints(value):
                raise SpecificationError(
                    f"options: {method!r} prints nothing for {name}={value!r}; write progress=True."
                )
            del own[name]
        elif name == "sparse_jacobian" and value in (None, True):
            del own[name]
        elif name in ELSEWHERE:
            raise SpecificationError(f"options: {name!r} has no place here: {ELSEWHERE[name]}.")
        else:
            raise SpecificationError(
                f"options: {method!r} has no option {name!r}. {suggest(name, known)}"
            )
    return own


def _prints(value: Any) -> bool:
    """Whether a value of these options makes SciPy print: True, or a level above 0."""
    return value is not None and bool(value) and not (isinstance(value, int) and value < 0)

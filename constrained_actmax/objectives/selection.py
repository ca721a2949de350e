"""Picking one unit for each row with a traced index, so that one compiled function serves all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from constrained_actmax.objectives.signature import Tensor


def index_parameter(index: int) -> npt.NDArray[np.int64]:
    """Return an index as a parameter of one row."""
    return np.array([index], dtype=np.int64)


def chosen(z: Tensor, index: Tensor) -> Tensor:
    """Return a mask (1 or B, 1, ..., C) over the last axis of z that is true at each row's index.

    Parameters
    ----------
    z : Tensor, shape (B, ..., C)
        What will be picked from.
    index : Tensor of int64, shape (1,) or (B,)
        One for all rows, or one for each.
    """
    import tensorflow as tf

    units = tf.range(z.shape[-1], dtype=tf.int64)  # heads and layers have known sizes
    return tf.equal(units, tf.reshape(index, [-1] + [1] * (len(z.shape) - 1)))


def pick(z: Tensor, index: Tensor) -> Tensor:
    """Return z[b, ..., index[b]]; a sum over a mask, so NaN elsewhere in the row does not leak."""
    import tensorflow as tf

    mask = chosen(z, index)
    if len(z.shape) != 2:
        return tf.reduce_sum(tf.where(mask, z, tf.zeros_like(z)), axis=-1)

    def picked(values: Tensor) -> tuple[Tensor, Any]:
        zeros = tf.zeros_like(values)
        unit_rows = tf.ones((values.shape[1], 1), values.dtype)
        total = tf.reshape(tf.matmul(tf.where(mask, values, zeros), unit_rows), [-1])

        def backward(upstream: Tensor) -> Tensor:
            return tf.where(mask, upstream[:, tf.newaxis], zeros)

        return total, backward

    # TensorFlow's own derivative of a masked sum takes twenty operations.
    return tf.custom_gradient(picked)(z)


def others(z: Tensor, index: Tensor) -> Tensor:
    """Return z with minus infinity at each row's index."""
    import tensorflow as tf

    return tf.where(chosen(z, index), tf.fill(tf.shape(z), tf.constant(-np.inf, z.dtype)), z)

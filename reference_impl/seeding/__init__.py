# SPDX-License-Identifier: Apache-2.0
"""Sample and synthetic data: written, kept and removed without touching anything else."""

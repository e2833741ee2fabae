# SPDX-License-Identifier: Apache-2.0
"""Programs of several tenants, and the model that their replies are held against."""

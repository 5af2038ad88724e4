"""Measurements that stand beside the tests: accuracy, calibration, speed."""

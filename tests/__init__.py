"""Tests of Larder."""

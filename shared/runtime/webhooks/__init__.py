"""Signed webhooks (Standard Webhooks): signing, verifying, and posting to addresses that strangers named."""

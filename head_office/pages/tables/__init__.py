"""The pages of the reports that are tables: variance, usage and unmet demand."""

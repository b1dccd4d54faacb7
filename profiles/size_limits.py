"""How large a scenario, its files and its parts may be: every limit, and the reason for it.

Limits leave room for real use (a year of quarter hours, 35,040 intervals) and keep a mistyped
number from taking the memory of the machine. A refusal names the product of sizes and its limit.
"""

# a net is decoded in about ten times the memory of its file; 906 buses take 1 MB
NET_BYTES = 64_000_000
NET_BUSES = 50_000
# numbers of a scenario in pandapower's units; above, products of two leave the range of a double
# or lose all digits beside others
QUANTITY = 1e12

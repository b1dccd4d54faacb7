"""Our driver of mixed-integer conic programs: relax, restrict, bound, approximate."""

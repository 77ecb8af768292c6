# Tests of proto/.
foreach(test json digests vectors)
    traj_test(NAME test_${test} SOURCES test_${test}.c LIBS traj_proto LABELS unit)
endforeach()

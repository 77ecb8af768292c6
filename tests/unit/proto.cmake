# Tests of proto/.
foreach(test json digests vectors messages rig_bytes)
    traj_test(NAME test_${test} SOURCES test_${test}.c LIBS traj_proto LABELS unit)
endforeach()
traj_script_test(NAME test_schema LABELS unit
    COMMAND ${TRAJ_PYTHON} test_schema.py ${CMAKE_SOURCE_DIR})
traj_script_test(NAME test_generated LABELS unit
    COMMAND ${TRAJ_PYTHON} test_generated.py ${CMAKE_SOURCE_DIR})

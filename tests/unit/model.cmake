# The estimator.
set(random_model ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c)
traj_test(NAME test_elementary SOURCES test_elementary.c ${random_model} LIBS traj_model m
    LABELS unit)
traj_test(NAME test_decoder SOURCES test_decoder.c ${random_model} LIBS traj_model m LABELS unit)
traj_test(NAME test_model_check SOURCES test_model_check.c ${random_model} LIBS traj_model m
    LABELS unit)
traj_test(NAME test_kernel SOURCES test_kernel.c ${random_model} LIBS traj_model m LABELS unit)

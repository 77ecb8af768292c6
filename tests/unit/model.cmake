# The estimator.
set(random_model ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c)
traj_test(NAME test_elementary SOURCES test_elementary.c ${random_model} LIBS traj_model m
    LABELS unit)
traj_test(NAME test_decoder SOURCES test_decoder.c ${random_model} LIBS traj_model m LABELS unit)
traj_test(NAME test_model_check SOURCES test_model_check.c ${random_model}
    ${CMAKE_SOURCE_DIR}/tests/oracle/chain_model.c LIBS traj_model m
    LABELS unit)
traj_test(NAME test_kernel SOURCES test_kernel.c ${random_model} LIBS traj_model m LABELS unit)
traj_test(NAME test_course_kernel SOURCES test_course_kernel.c ${random_model}
    ${CMAKE_SOURCE_DIR}/tests/oracle/chain_model.c ${CMAKE_SOURCE_DIR}/clients/trajctl/bench_model.c
    LIBS traj_learn traj_model m LABELS unit)
target_compile_options(test_course_kernel PRIVATE -Wno-psabi)

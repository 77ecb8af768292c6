# Any bytes as a model file, and any messages as a session.
traj_fuzzer(NAME fuzz_model
    SOURCES fuzz_model.c ${CMAKE_SOURCE_DIR}/tests/common/small_model.c
        ${CMAKE_SOURCE_DIR}/tests/oracle/chain_model.c ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c
    LIBS traj_learn m CORPUS corpus/model)
traj_fuzzer(NAME fuzz_learned SOURCES fuzz_learned.c LIBS traj_learn m CORPUS corpus/learned)
# A recording's file, whatever it holds, decoded once more.
traj_fuzzer(NAME fuzz_rerun
    SOURCES fuzz_rerun.c ${CMAKE_SOURCE_DIR}/tests/system/tiny_model.c
        ${CMAKE_SOURCE_DIR}/clients/trajctl/bench_model.c
    LIBS traj_learn m CORPUS corpus/rerun)

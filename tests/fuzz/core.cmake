# Messages and commands in any order to parser, pipeline and estimator.
traj_fuzzer(NAME fuzz_pipeline
    SOURCES fuzz_pipeline.c ${CMAKE_SOURCE_DIR}/tests/common/tiny_model.c
        ${CMAKE_SOURCE_DIR}/tests/oracle/chain_model.c ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c
        ${CMAKE_SOURCE_DIR}/clients/trajctl/bench_model.c
    LIBS traj_learn m CORPUS corpus/pipeline)
# Any bytes as a tape that another process left in shared memory.
traj_fuzzer(NAME fuzz_tape SOURCES fuzz_tape.c LIBS traj_core traj_proto CORPUS corpus/tape)

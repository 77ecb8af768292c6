# Messages and commands in any order to parser, pipeline and estimator.
traj_fuzzer(NAME fuzz_pipeline
    SOURCES fuzz_pipeline.c ${CMAKE_SOURCE_DIR}/tests/common/tiny_model.c
        ${CMAKE_SOURCE_DIR}/tests/oracle/chain_model.c ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c
        ${CMAKE_SOURCE_DIR}/clients/trajctl/bench_model.c
    LIBS traj_learn m CORPUS corpus/pipeline)

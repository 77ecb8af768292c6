# Messages and commands in any order to parser, pipeline and estimator.
traj_fuzzer(NAME fuzz_pipeline
    SOURCES fuzz_pipeline.c ${CMAKE_SOURCE_DIR}/tests/common/tiny_model.c
    LIBS traj_core m CORPUS corpus/pipeline)

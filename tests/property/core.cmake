# Parser, pipeline and estimator together over made-up streams.
traj_test(NAME test_pipeline SOURCES test_pipeline.c ${CMAKE_SOURCE_DIR}/tests/common/tiny_model.c
    LIBS traj_core m LABELS property)

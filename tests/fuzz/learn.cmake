# Any bytes as a model file.
traj_fuzzer(NAME fuzz_model SOURCES fuzz_model.c LIBS traj_learn m CORPUS corpus/model)

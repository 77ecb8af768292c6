# Experiments of a closed loop.
traj_fuzzer(NAME fuzz_scenario SOURCES fuzz_scenario.c LIBS traj_rig m CORPUS corpus/scenario)

# Parsers of proto/.
foreach(kind frame event intent intent_binary tensors recording key units_map lsl open_ephys
        event_broadcaster blackrock brand)
    traj_fuzzer(NAME fuzz_${kind} SOURCES fuzz_${kind}.c LIBS traj_proto CORPUS corpus/${kind})
endforeach()

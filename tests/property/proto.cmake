# Tests of proto/ over many drawn inputs.
traj_test(NAME test_number SOURCES test_number.c LIBS traj_proto m LABELS property)

# A locale whose decimal point is a comma, made here where the system has the sources of one.
find_program(LOCALEDEF localedef)
set(comma "${CMAKE_CURRENT_BINARY_DIR}/locale")
if(LOCALEDEF AND NOT EXISTS "${comma}/de_DE.UTF-8")
    file(MAKE_DIRECTORY "${comma}")
    execute_process(COMMAND ${LOCALEDEF} -i de_DE -f UTF-8 "${comma}/de_DE.UTF-8"
        OUTPUT_QUIET ERROR_QUIET)
endif()
if(EXISTS "${comma}/de_DE.UTF-8")
    set_property(TEST test_number APPEND PROPERTY ENVIRONMENT "LOCPATH=${comma}")
endif()

# Between staging and packing: what Debian's policy asks of documentation and static libraries.
file(GLOB_RECURSE staged "${CPACK_TEMPORARY_DIRECTORY}/*")
foreach(file IN LISTS staged)
    if(IS_SYMLINK "${file}")
        continue()
    elseif(file MATCHES "/man/man[1-9]/[^/]*[.][1-9]$|/doc/[^/]*/changelog$")
        # Without name and time inside, so that the same source gives the same bytes.
        execute_process(COMMAND gzip -9nf "${file}" COMMAND_ERROR_IS_FATAL ANY)
    elseif(file MATCHES "[.]a$")
        execute_process(COMMAND strip --strip-debug --enable-deterministic-archives "${file}"
            COMMAND_ERROR_IS_FATAL ANY)
    endif()
endforeach()

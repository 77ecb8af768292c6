% SPDX-License-Identifier: GPL-3.0-or-later
function build(where)
% BUILD compiles trajd_mex for this MATLAB or Octave, once.
%
%   build          beside this file
%   build(WHERE)   into another folder, which must be on the path
%
% libtrajclient must be installed where pkg-config finds it: cmake --install BUILD --prefix DIR, and
% PKG_CONFIG_PATH=DIR/lib/.../pkgconfig in the environment.

here = fileparts(mfilename('fullpath'));
if nargin < 1
    where = here;
end
[status, flags] = system('pkg-config --cflags --libs trajclient');
if status ~= 0
    error('trajd:build', 'pkg-config does not find trajclient: %s', strtrim(flags));
end
% What is not for the linker is for the compiler; both come from one place.
words = strsplit(strtrim(flags), ' ');
mex(words{:}, fullfile(here, 'trajd_mex.c'), '-output', fullfile(where, 'trajd_mex'));
end

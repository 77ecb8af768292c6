% SPDX-License-Identifier: GPL-3.0-or-later
classdef Source < handle
% SOURCE publishes frames and events to trajd and loses nothing: it blocks when the daemon is behind.
%
%   rig = trajd.Source();                     % or trajd.Source('tcp://127.0.0.1:5601')
%   rig.wait(10);
%   rig.session('2024-03-01 a', true);
%   rig.trial_start(0);
%   rig.frame(counts, 0.02, 0.02);
%   rig.close();
%
% Frames are numbered here, from 0, and anew with each session.  Times are in s on one clock, the
% source's; lengths in the session's unit.

    properties (SetAccess = private)
        seq = 0;   % of the next frame
    end
    properties (Access = private)
        handle = [];
    end

    methods
        function self = Source(endpoint)
            % "@..." binds, ">..." or a bare endpoint connects.
            if nargin < 1
                endpoint = 'tcp://127.0.0.1:5601';
            end
            self.handle = trajd_mex('source', endpoint);
        end

        function wait(self, seconds)
            % Waits until a daemon listens; an error where none does in time.
            if nargin < 2
                seconds = 10;
            end
            trajd_mex('wait', self.handle, seconds);
        end

        function frame(self, counts, t, dt)
            % One bin that ends at t and is dt wide (s); counts: N numbers, NaN = not observed.
            trajd_mex('frame', self.handle, self.seq, t, dt, double(counts(:).'));
            self.seq = self.seq + 1;
        end

        function event(self, type, fields)
            % Any event of proto/event.md; fields: a struct.
            if nargin < 3
                fields = struct();
            end
            fields.type = type;
            trajd_mex('event', self.handle, jsonencode(fields));
        end

        function session(self, run, marks)
            % A new run: the posterior starts anew, seq begins at 0; marks: trial marks will come.
            self.event('session', struct('run', run, 'marks', logical(marks)));
            self.seq = 0;
        end

        function trial_start(self, t)
            self.event('trial_start', struct('t', t));
        end

        function go(self, t)
            self.event('go', struct('t', t));
        end

        function trial_stop(self, t)
            self.event('trial_stop', struct('t', t));
        end

        function target_prior(self, t, prob)
            % How probable each of the model's M targets is, until the trial stops.
            self.event('target_prior', struct('t', t, 'prob', prob));
        end

        function effector(self, t, position)
            % Where the cursor that follows the intents is, 1 x D; in a closed loop with every frame.
            self.event('effector', struct('t', t, 'position', position));
        end

        function kinematics(self, t, position)
            % Where the hand was, 1 x D; for recording and learning alone.
            self.event('kinematics', struct('t', t, 'position', position));
        end

        function trial_label(self, t, target, rewarded)
            % What the trial was: target is its row from 0; for recording and learning alone.
            self.event('trial_label', struct('t', t, 'target', target, 'rewarded', logical(rewarded)));
        end

        function close(self)
            % Sends what is queued, waiting at most 1 s.
            if ~isempty(self.handle)
                trajd_mex('close', self.handle);
                self.handle = [];
            end
        end

        function delete(self)
            self.close();
        end
    end
end

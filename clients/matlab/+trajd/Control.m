% SPDX-License-Identifier: GPL-3.0-or-later
classdef Control < handle
% CONTROL asks the daemon: one request, one reply, as proto/control.md describes them.
%
%   control = trajd.Control();                % or trajd.Control('tcp://127.0.0.1:5603')
%   status = control.status();
%   control.request(struct('cmd', 'model', 'action', 'load', 'path', 'm.tjm'));
%   control.close();

    properties (Access = private)
        handle = [];
    end

    methods
        function self = Control(endpoint)
            if nargin < 1
                endpoint = 'tcp://127.0.0.1:5603';
            end
            self.handle = trajd_mex('control', endpoint);
        end

        function reply = request(self, request, seconds)
            % The reply as a struct; an error with the daemon's sentence, or where none answers.
            if nargin < 3
                seconds = 5;
            end
            reply = jsondecode(trajd_mex('request', self.handle, jsonencode(request), seconds));
            if ~reply.ok
                error('trajd:refused', 'trajd: %s', reply.error);
            end
        end

        function reply = ping(self)
            reply = self.request(struct('cmd', 'ping'));
        end

        function reply = status(self)
            reply = self.request(struct('cmd', 'status'));
        end

        function reply = trial(self, action)
            % action: 'start', 'go' or 'stop', now.
            reply = self.request(struct('cmd', 'trial', 'action', action));
        end

        function reply = prior(self, prob)
            % How probable each target is, now.
            reply = self.request(struct('cmd', 'prior', 'prob', prob));
        end

        function reply = pause(self, on)
            reply = self.request(struct('cmd', 'pause', 'on', logical(on)));
        end

        function reply = load(self, path)
            % Puts a model file of the daemon's machine in force between two frames.
            reply = self.request(struct('cmd', 'model', 'action', 'load', 'path', path), 60);
        end

        function close(self)
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

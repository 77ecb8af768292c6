% SPDX-License-Identifier: GPL-3.0-or-later
classdef Intents < handle
% INTENTS receives what trajd decodes.
%
%   intents = trajd.Intents();                % or trajd.Intents('tcp://127.0.0.1:5602')
%   intent = intents.receive(1);              % waits at most 1 s; [] where none came
%   if ~isempty(intent) && intent.valid
%       cursor = cursor + dt * intent.velocity;
%   end
%
% An intent is a struct: seq, frame, t (s), valid, position and velocity (1 x D), position_cov and
% velocity_cov (D x D), target (text), target_prob (1 x M), free_prob, state, progress, eta (s), logev,
% flags (cell of text), model, and the stamps recv and done.  What is not known is [], NaN or ''.
% While no frames come, valid is false, velocity 0 and silent the s since the last one (else NaN).
%
% lost counts the intents that were missed (holes in seq).

    properties (SetAccess = private)
        lost = 0;
    end
    properties (Access = private)
        handle = [];
        next = [];
    end

    methods
        function self = Intents(endpoint)
            if nargin < 1
                endpoint = 'tcp://127.0.0.1:5602';
            end
            self.handle = trajd_mex('intents', endpoint);
        end

        function intent = receive(self, seconds)
            % The next one; [] where none comes in so many s (without a number: waits for ever).
            if nargin < 2
                seconds = Inf;
            end
            intent = trajd_mex('receive', self.handle, seconds);
            if ~isempty(intent) && isnan(intent.silent)
                if ~isempty(self.next) && intent.seq > self.next
                    self.lost = self.lost + intent.seq - self.next;
                end
                self.next = intent.seq + 1;
            end
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

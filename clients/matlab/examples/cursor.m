% SPDX-License-Identifier: GPL-3.0-or-later
function cursor(frames, intents, control, bins)
% CURSOR is a rig and a cursor: sends frames to a running trajd and goes where it decodes.
%
%   cursor
%   cursor(FRAMES, INTENTS, CONTROL, BINS)    endpoints, and how many bins to send
%
% Here the counts are random; a rig puts its own there, at its own pace.

if nargin < 4
    frames = 'tcp://127.0.0.1:5601';
    intents = 'tcp://127.0.0.1:5602';
    control = 'tcp://127.0.0.1:5603';
    bins = 100;
end
dt = 0.02;
ask = trajd.Control(control);
model = ask.request(struct('cmd', 'model', 'action', 'show')).model;
sink = trajd.Intents(intents);
rig = trajd.Source(frames);
rig.wait(10);
while ask.status().subscribers == 0       % a subscription takes a moment
    pause(0.01);
end
rig.session('matlab example', true);
rig.trial_start(0);
position = zeros(1, model.dim);
decoded = 0;
for bin = 1:bins
    rig.effector(bin * dt, position);     % what the subject sees and corrects
    rig.frame(floor(3 * rand(1, model.units)), bin * dt, dt);
    intent = sink.receive(10);
    if isempty(intent)
        error('no intent came in 10 s');
    end
    if intent.valid && ~isempty(intent.position)
        position = intent.position(:)';
        decoded = decoded + 1;
    end
    rig.kinematics(bin * dt, position);
end
rig.trial_stop(bins * dt);
rig.trial_label(bins * dt, 0, true);
fprintf('%d intents, %d lost, cursor at %.1f, %.1f, target_prob 1 x %d\n', decoded, sink.lost, position(1), ...
        position(2), numel(intent.target_prob));
rig.close();
sink.close();
ask.close();
end

"""What runs beside a deployment's broker: it dials out to the cloud, runs the broker and the rules, and reports.

Here belongs what happens on the deployment's side. It never imports the cloud; both know `protocol`.
Public: `protocol` (the messages on the line), `Channel`, `Worker`.
"""

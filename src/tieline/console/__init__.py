"""The console: web pages over the REST interface and the AWS wire, pushed live."""

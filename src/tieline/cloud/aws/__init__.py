"""The AWS SDK as the cloud uses it: clients, accounts, zones."""

"""What runs at the user's side: the REST client, `connect`, documents, and the provider's account.

Here belongs what a command line or a script needs. It never loads the server.
Public: `rest.Client`, `errors.ClientError`.
"""

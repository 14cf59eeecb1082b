"""The HTTP server of the AWS wire and of the platform: uvicorn with limits that hold before anybody has logged in."""

"""Who is signed in to the console, and how pages reach REST on that person's behalf."""

"""What develops Tidegate: setting up, checking, testing and measuring it; nothing here is shipped."""

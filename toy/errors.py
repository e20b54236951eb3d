"""What a user can put right, as one kind of error for all commands of the toy."""


class UserError(Exception):
    """Something that the user can put right; its text is the one line that is shown."""

"""The rules of rooms, and what is done by those who keep them."""

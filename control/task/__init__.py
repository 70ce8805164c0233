"""The one definition of what agents see, do and are paid for, and the closed loop that it is played in."""

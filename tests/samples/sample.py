import requests

API_KEY = "your_api_key_here"
BASE_URL = "https://your-domain.com/api/external"

headers = {
    "X-API-Key": API_KEY,
    "Content-Type": "application/json"
}

# Create a single lead
lead_data = {
    "email": "prospect@company.com",
    "first_name": "John",
    "last_name": "Doe",
    "company": "Prospect Corp",
    "campaign_id": 1
}

response = requests.post(
    f"{BASE_URL}/leads",
    json=lead_data,
    headers=headers
)

if response.status_code == 200:
    print("Lead created successfully:", response.json())
else:
    print("Error:", response.json())

# Create a new campaign
campaign_data = {
    "name": "Product Demo Follow-up",
    "description": "3-step sequence for demo prospects",
    "steps": [
        {
            "step_number": 1,
            "name": "Initial Contact",
            "subject": "Thanks for your interest!",
            "ai_prompt": "Write a friendly introduction email. Thank them for their interest and briefly explain how our solution can help companies like {{company_name}}. Ask if they'd be open to a quick 15-minute demo.",
            "delay_days": 0,
            "delay_hours": 0
        },
        {
            "step_number": 2,
            "name": "Follow-up",
            "subject": "Quick follow-up",
            "ai_prompt": "Write a helpful follow-up email that references the first email. Share a brief success story or statistic that's relevant to their industry. Ask a thoughtful question about their current process.",
            "delay_days": 3,
            "delay_hours": 0
        }
    ]
}

campaign_response = requests.post(
    f"{BASE_URL}/campaigns",
    json=campaign_data,
    headers=headers
)

if campaign_response.status_code == 200:
    print("Campaign created successfully:", campaign_response.json())
else:
    print("Error:", campaign_response.json())

# List all active campaigns
campaigns_response = requests.get(
    f"{BASE_URL}/campaigns?status=active",
    headers=headers
)

if campaigns_response.status_code == 200:
    campaigns = campaigns_response.json()
    print(f"Found {len(campaigns)} active campaigns")
